"""The texts of the rules, by what they are about; `harmony.config.rules` has them all."""
