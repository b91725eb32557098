"""What no stack may do: rules over the resources that a program declares, run by the engine in a preview and in an update."""
