"""Names of packages that people in machine learning often ask for: to guess what was meant."""

from __future__ import annotations

POPULAR = frozenset(
    """
    accelerate aiohttp albumentations altair anthropic arviz asyncpg attrs beautifulsoup4
    biopython bitsandbytes black bokeh boto3 captum catboost cellpose chromadb click cupy cvxpy
    cython dash dask datasets deepspeed diffusers dowhy duckdb dvc econml einops evaluate
    faiss-cpu fairseq fastai fastapi fastparquet flask flax gensim geopandas gradio gymnasium h5py
    holoviews huggingface-hub hydra-core hyperopt imageio imbalanced-learn joblib jupyter
    jupyterlab jupytext kagglehub keras kornia langchain librosa lifelines lightgbm lightning
    llama-index loguru lxml matplotlib mlflow monai mypy natsort nbconvert neptune networkx
    nibabel nltk notebook numba numpy omegaconf onnx onnxruntime openai opencv-python-headless
    openpyxl optax optuna orjson packaging pandas pandera papermill patsy peft pillow plotly
    polars prophet protobuf psutil pyarrow pycocotools pydantic pydicom pymc pyspark pytest
    pytest-cov pytorch-lightning pyyaml rasterio ray regex requests rich ruff s3fs sacrebleu
    safetensors scanpy scikit-image scikit-learn scipy seaborn sentence-transformers sentencepiece
    shap simpleitk six skorch sktime spacy sqlalchemy stable-baselines3 statsmodels streamlit
    sympy tabulate tensorboard tiktoken timm tokenizers torch torch-geometric torchaudio
    torchmetrics torchvision tqdm transformers trl typer ultralytics umap-learn uvicorn wandb
    xarray xformers xgboost zarr
    """.split()  # noqa: SIM905 - a list of so many words is read best as text
)
