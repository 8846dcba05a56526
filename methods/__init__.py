"""The plug-ins: one module or folder per method name; names that begin with `_` are shared parts."""
