"""The Model Context Protocol: what `codebuddy mcp` tells coding agents about a repository."""
