//go:build tools

// Keeps CoreDNS in go.mod, which is built from its own main package.
package tools

import _ "github.com/coredns/coredns"
