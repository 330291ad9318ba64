"""The admin listener's pages: health and metrics, for this machine's eyes."""
