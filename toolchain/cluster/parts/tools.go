//go:build tools

// Keeps in go.mod what is built from its own main package.
package main

import _ "github.com/argoproj/argo-rollouts/cmd/rollouts-controller"
