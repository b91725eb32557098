//go:build tools

// Package tools pins kube-score, which the repository builds to read the
// manifests that a stack declares.
package tools

import _ "github.com/zegl/kube-score/cmd/kube-score"
