"""The recipes in models/: each is a yaml that builds, and trains as many numbers as its paper says."""

import pytest
import torch

from cldm.model import create_model
from cldm.tryon.image_encoders import ClipGarments, DinoGarments, SmallGarments, to_squares
from cldm.tryon.model import TryonLDM
from sources import ROOT
from tryon_reference import goldens

RECIPES = sorted((ROOT / "models").glob("tryon_*.yaml"))
# in millions: CatVTON's self-attention, one U-Net, two without the tail that nothing reads
TRAINED = {"tryon_catvton": 49.57, "tryon_magic": 857.07, "tryon_ootd": 1716.60, "tryon_idm": 859.55}


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_recipes_build_and_train_what_they_say(recipe):
    with torch.device("meta"):
        model = create_model(recipe)
    assert isinstance(model, TryonLDM)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad) / 1e6
    assert trained == pytest.approx(TRAINED.get(recipe.stem, trained), abs=0.01) and trained > 0
    assert sum(term.weight for term in model.guidance.terms) == pytest.approx(1)
    # what guidance drops was dropped in training, but for IDM-VTON's, whose training drops nothing
    dropped = model.guidance.names - {"text"}
    assert recipe.stem == "tryon_idm" or all(model.conditions[name].dropout for name in dropped)


def test_garments_are_padded_on_white_not_stretched():
    pictures = torch.zeros(1, 40, 20, 3, dtype=torch.uint8)
    squares = to_squares(pictures, 28)
    assert squares.shape == (1, 3, 28, 28)
    assert squares[0, :, 14, :5].min() > 0.95 and squares[0, :, 14, 10:18].max() < 0.05


def test_encoders_give_tokens():
    pictures = torch.randint(0, 255, (2, 128, 96, 3), dtype=torch.uint8)
    assert SmallGarments(32)(pictures).shape == (2, 48, 32)
    settings = goldens()["anydoor/dino"].settings
    small = dict(width=settings["width"], depth=1, heads=4, grid=4)
    assert DinoGarments(size=None, side=56, **small)(pictures).shape == (2, 17, settings["width"])


def test_a_clip_tower_comes_from_a_local_folder(tmp_path):
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    with pytest.raises(
        FileNotFoundError, match="holds no CLIP vision tower .* openai/clip-vit-large-patch14"
    ):
        ClipGarments(tmp_path)
    config = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, image_size=28,
        patch_size=14, projection_dim=16,
    )  # fmt: skip
    CLIPVisionModelWithProjection(config).save_pretrained(tmp_path)
    pictures = torch.randint(0, 255, (2, 64, 48, 3), dtype=torch.uint8)
    assert ClipGarments(tmp_path)(pictures).shape == (2, 16)
    assert ClipGarments(tmp_path, "tokens")(pictures).shape == (2, 5, 32)
    with pytest.raises(ValueError, match="output must be embeds or tokens, got 'both'"):
        ClipGarments(tmp_path, "both")
