"""One module for each screen of `tts`: values in, something that Rich can print out."""
