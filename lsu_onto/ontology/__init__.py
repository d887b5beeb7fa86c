"""What a taxonomy and a map mean: names resolved, rules checked, fixes proposed."""
