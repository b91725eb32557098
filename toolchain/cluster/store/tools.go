//go:build tools

// Keeps the S3 server in go.mod: it holds objects as files of a folder.
package tools

import _ "github.com/versity/versitygw/cmd/versitygw"
