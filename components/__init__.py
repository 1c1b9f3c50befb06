"""One capability each. A component takes narrow frozen arguments and knows neither the settings nor the ladder."""
