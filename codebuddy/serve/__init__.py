"""Editor protocols: the language server and the HTTP interface. They translate, never decide."""
