"""What to say to a request for something that is not served: what there is instead."""

from __future__ import annotations

SERVED = {
    "/infill": "POST",
    "/v1/completions": "POST",
    "/v1/models": "GET",
    "/health": "GET",
}
_FIM = "send prompt and suffix to POST /v1/completions, or input_prefix and input_suffix to /infill"
# By the ends of paths: clients put a base of their own before them.
_INSTEAD = (
    ("/chat/completions", f"codebuddy completes code and does not chat; {_FIM}"),
    ("/api/chat", f"codebuddy completes code and does not chat; {_FIM}"),
    ("/messages", f"codebuddy completes code and does not chat; {_FIM}"),
    ("/responses", f"codebuddy completes code and does not chat; {_FIM}"),
    ("/fim/completions", _FIM),
    ("/api/generate", f"this is not Ollama; {_FIM}"),
    ("/api/tags", "this is not Ollama; GET /v1/models names the model"),
    ("/embeddings", "codebuddy serves no embeddings"),
    ("/embedding", "codebuddy serves no embeddings"),
    ("/completions", _FIM),
    ("/completion", _FIM),
    ("/infill", "send it to POST /infill"),
    ("/models", "ask GET /v1/models"),
    ("/health", "ask GET /health"),
)


def unserved(method: str, path: str) -> str:
    """One sentence: that it is not served, and what is."""
    bare = path.rstrip("/") or "/"
    if (wanted := SERVED.get(bare)) is not None:
        return f"{bare} is asked with {wanted}, not {method:.20}"
    for ending, instead in _INSTEAD:
        if bare.endswith(ending):
            return f"{bare:.100} is not served; {instead}"
    there = ", ".join(f"{method} {path}" for path, method in SERVED.items())
    return f"{bare:.100} is not served; there are {there}"
