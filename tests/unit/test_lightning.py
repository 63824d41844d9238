"""Lightning without the packages that it hardly uses, each in a new process: imports happen once per process."""

import subprocess
import sys

import pytest

# A finder that lets the first import of a module fail, as a version without that module would.
WITHOUT = """
import sys
class Without:
    left = ["{module}"]
    def find_spec(self, name, path=None, target=None):
        if name in self.left:
            self.left.remove(name)
            raise ImportError(name)
sys.meta_path.insert(0, Without())
"""
PARTS = """
import sys
from concurrent.futures import ThreadPoolExecutor
import torch, anirec.lightning
from lightning_fabric.wrappers import OptimizedModule
from torchmetrics.aggregation import MeanMetric
{check}
import torchmetrics
assert torchmetrics.__version__
with ThreadPoolExecutor() as pool:
    assert len(set(pool.map(lambda _: torchmetrics.MeanSquaredError, range(8)))) == 1
mean = MeanMetric()
mean.update(3.0)
mean.plot()
from pytorch_lightning.core.module import Metric
assert Metric is torchmetrics.Metric and torchmetrics.MeanMetric is MeanMetric
assert torchmetrics.metric.Metric is Metric
torchmetrics.ConfusionMatrix(task="binary").plot(torch.eye(2))
module = torch.nn.Linear(1, 1)
assert not isinstance(module, OptimizedModule)
assert isinstance(torch.compile(module, backend="eager"), OptimizedModule)
"""
LIGHT = "assert not {'torchvision', 'transformers', 'torch._dynamo', 'matplotlib', 'scipy'} & set(sys.modules)"
FULL = "assert 'torch._dynamo' in sys.modules"


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        PARTS.format(check=LIGHT),
        WITHOUT.format(module="torchmetrics.collections") + PARTS.format(check=FULL),
        "import torchmetrics\n" + PARTS.format(check=FULL),
        "import torch._dynamo\n" + PARTS.format(check=FULL),
    ],
    ids=["in parts", "another version of torchmetrics", "after torchmetrics", "after the compiler"],
)
def test_packages_work_whenever_they_are_imported(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
