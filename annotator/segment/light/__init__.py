"""Garments of one person by rules: from mediapipe's silhouette and joints, and the photo's colours."""

from annotator.segment.light.garments import LightSegmenter

__all__ = ["LightSegmenter"]
