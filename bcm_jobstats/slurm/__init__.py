"""What bcm_jobstats asks of Slurm: its configuration files, and the settings that jobstats counts on (design §4)."""
