//go:build tools

// Keeps kube-router in go.mod, which is built from its own main package.
package tools

import _ "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"
