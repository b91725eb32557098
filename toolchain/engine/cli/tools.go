//go:build tools

// Package tools pins the Pulumi CLI that the repository builds when neither a
// fitting one is on PATH nor the official download can be reached.
package tools

import _ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
