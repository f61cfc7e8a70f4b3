"""The lab itself, as a plain library: no Jupyter, no tornado, no ipywidgets."""
