"""Analytics workbench for a shop with a customer data platform."""

import os
import warnings

__version__ = "0.1.0"

# Threads that wait shall sleep: where they spin, a busy machine takes ten times as long. OpenMP
# reads this when the first library that uses it is loaded, which is later than here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Libraries that could show a progress bar in a notebook miss widgets that nothing here needs.
warnings.filterwarnings("ignore", "IProgress not found")
