"""What customers will do: outcomes, propensities, and how good they are."""

import os

# Threads of XGBoost that wait shall sleep. Where they spin, a busy machine takes ten times as
# long; OpenMP reads this when the first library that uses it is loaded, which is later than here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
