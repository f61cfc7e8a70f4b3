"""From the files that people have (requirements.txt, pyproject.toml, environment.yml, a Dockerfile)
to the packages of an image."""
