"""What MLflow runs to load a served model, from the copy of the package beside the weights."""

from mlflow.models import set_model

from spikejoule.tracking.served_model import ServedModel

set_model(ServedModel())
