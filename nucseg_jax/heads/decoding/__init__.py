"""From maps to nuclei, on the host: each connected piece of foreground is parted by itself."""
