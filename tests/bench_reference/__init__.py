"""What `scripts/bench --hooks` measures: our hooks as they are deployed, and loops in the style of upstream and seed 2.

The reference loops are written for the benchmark from what peers A2c, B2, C4 and E4 say of those; nothing deploys them.
"""
