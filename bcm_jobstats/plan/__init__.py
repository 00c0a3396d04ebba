"""The engine: resources, plan, apply, verify, generations, rollback. It knows no BCM and no Slurm."""
