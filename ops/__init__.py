"""`tts`, the operator's command: it reads a stack's outputs and works on its hosts; it declares nothing."""
