"""How the losses of a category's trainings ran, as charts."""

from pathlib import Path

from stages.report.charts import Chart, training_chart
from stages.report.plot_data import read_csv


def training_charts(metrics: Path, category: str) -> tuple[Chart, ...]:
    """A chart for each file of `metrics`/plots/training/<category> that has rows, by name.

    Raises:
        UserError: a file is damaged.
    """
    files = sorted((metrics / "plots" / "training" / category).glob("*.csv"))
    charts = (training_chart(f"Training of {file.stem}", read_csv(file)) for file in files)
    return tuple(chart for chart in charts if chart.lines)
