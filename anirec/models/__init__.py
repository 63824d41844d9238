"""Models, each a LightningModule: base classes and training settings; ratings, titles and posts in subpackages."""
