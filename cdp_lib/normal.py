"""Quantiles of the normal law: of 95 % intervals, and of a power of 80 %."""

Z = 1.959963984540054  # 97.5 %
Z_POWER = 0.8416212335729143  # 80 %
FOUND = Z + Z_POWER  # standard errors of an effect that is found in 4 of 5 cases
