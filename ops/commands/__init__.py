"""One module for each command of `tts`: options in, one call of the logic, one screen or one JSON document out."""
