//go:build tools

// Package tools pins the Python language host, which is a module of its own
// version and must not share a go.mod with the CLI.
package tools

import _ "github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python"
