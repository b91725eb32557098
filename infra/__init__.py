"""How a stack is made: typed config, evidence, rollout policy, and one package for each target."""
