"""The local target: supervised processes behind Traefik on loopback, moved by small dynamic providers in Pulumi's own graph."""
