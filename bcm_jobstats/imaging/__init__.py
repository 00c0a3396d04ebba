"""Files that travel in software images and on shared storage: what is written, recorded, and taken back."""
