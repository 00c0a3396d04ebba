"""What the lab's test of the GPU hooks is made of: load, recorder, scraper, and the check of what was scraped."""
