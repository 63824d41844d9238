"""Pictures: the same numbers as timm and transformers, real weights that know what they see, and bad files."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import timm
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from timm.data import ImageNetInfo, create_transform
from transformers import AutoImageProcessor, AutoModel, ConvNextImageProcessor, ResNetConfig, ResNetModel

from anirec import notices
from anirec.errors import UserError
from anirec.features import picture_encoders
from anirec.features.cache import Store
from anirec.features.images import Gallery
from anirec.features.preprocessing import Preprocessing

LITE0: dict[str, Any] = {"encoder": "efficientnet_lite0", "frozen": True}


def of(folder: Path, *names: str) -> pl.DataFrame:
    return pl.DataFrame({"portraits": [[str(folder / name)] for name in names]})


def values(branch: Any) -> torch.Tensor:
    with torch.no_grad():
        return branch(torch.arange(len(branch.places))).values


@pytest.fixture(scope="session")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small ResNet of transformers, as the hub would hold it."""
    folder = tmp_path_factory.mktemp("resnet")
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 2]}
    torch.manual_seed(2)
    ResNetModel(ResNetConfig(**sizes, layer_type="basic")).save_pretrained(folder)
    normal = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    ConvNextImageProcessor(size={"shortest_edge": 48}, crop_pct=0.875, **normal).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def timm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("timm")
    torch.manual_seed(2)
    timm.models.save_for_hf(timm.create_model("test_vit", num_classes=10), str(folder), safe_serialization=True)
    return folder


@pytest.mark.parametrize("name", ["0.png", "2.jpg", "3.gif", "4.webp"])
def test_pixels_are_those_of_the_encoders_own_preprocessing(resnet: Path, timm_folder: Path, gallery, name) -> None:
    image = Image.open(gallery / name).convert("RGB")
    recipe = picture_encoders.recipe_of(str(resnet))
    expected = AutoImageProcessor.from_pretrained(resnet)(image, return_tensors="pt")["pixel_values"][0]
    torch.testing.assert_close(pixels(recipe, image), expected, atol=1e-6, rtol=1e-6)
    recipe = picture_encoders.recipe_of(str(timm_folder))
    data = timm.data.resolve_model_data_config(timm.create_model("test_vit"))
    torch.testing.assert_close(pixels(recipe, image), create_transform(**data)(image), atol=1e-6, rtol=1e-6)


def pixels(recipe: picture_encoders.PictureRecipe, image: Image.Image) -> torch.Tensor:
    own = Preprocessing(recipe.library, recipe.preprocessing)
    return own.normalised(torch.from_numpy(own.bytes_of(image))[None])[0]


@pytest.mark.parametrize("frozen", [True, False])
def test_maps_are_those_of_transformers(make_pictures, seen, resnet: Path, gallery, frozen: bool) -> None:
    image = Image.open(gallery / "1.png").convert("RGB")
    inputs = AutoImageProcessor.from_pretrained(resnet)(image, return_tensors="pt")
    with torch.no_grad():
        features = AutoModel.from_pretrained(resnet).eval()(**inputs).last_hidden_state[0]
    expected = {"pooled": features.mean((1, 2)), "first_channel": features[0].flatten(), "all": features.flatten()}
    for output, vector in expected.items():
        branch = seen(make_pictures(encoder=str(resnet), output=output, frozen=frozen), of(gallery, "1.png"))
        torch.testing.assert_close(values(branch)[0, 0], vector, atol=1e-5, rtol=1e-4)


def test_vectors_are_those_of_timm(make_pictures, seen, timm_folder: Path, gallery) -> None:
    image = Image.open(gallery / "1.png").convert("RGB")
    model = timm.create_model(f"local-dir:{timm_folder}", pretrained=True, num_classes=0).eval()
    with torch.no_grad():
        expected = model(create_transform(**timm.data.resolve_model_data_config(model))(image)[None])[0]
    branch = seen(make_pictures(encoder=str(timm_folder), frozen=True), of(gallery, "1.png"))
    torch.testing.assert_close(values(branch)[0, 0], expected, atol=1e-5, rtol=1e-4)
    with pytest.raises(UserError, match="no map of channels"):
        seen(make_pictures(encoder=str(timm_folder), output="first_channel"))


def test_efficientnet_lite0_knows_a_palace_and_a_flower() -> None:
    """The package's weights fit timm's architecture only if each lands in its own layer."""
    recipe = picture_encoders.recipe_of("efficientnet_lite0")
    model = picture_encoders.load_lite0(recipe, classifier=True).eval()
    photos = [pixels(recipe, Image.fromarray(photo)) for photo in load_sample_images().images]
    with torch.no_grad():
        best = model(torch.stack(photos)).argmax(1)
    assert [ImageNetInfo().index_to_description(int(index)) for index in best] == ["palace", "daisy"]


def test_pasted_is_one_picture_side_by_side(make_pictures, seen, gallery, tmp_path: Path) -> None:
    left, right = (Image.open(gallery / name).convert("RGB") for name in ("0.png", "1.png"))
    row = Image.new("RGB", (left.width + right.width, max(left.height, right.height)))
    row.paste(left, (0, 0))
    row.paste(right, (left.width, 0))
    row.save(tmp_path / "row.png")
    paths = [str(gallery / "0.png"), None, str(gallery / "1.png")]
    looked = pl.DataFrame({"portraits": [paths, [str(tmp_path / "row.png")]]})
    pasted = values(seen(make_pictures(layout="pasted"), looked))
    assert torch.equal(pasted[0], pasted[1])


def test_unreadable_pictures_are_absent_counted_and_named(make_pictures, seen, gallery, caplog) -> None:
    names = ["0.png", "truncated.jpg", "page.png", "slender.png", "huge.png", "bitmap.bmp", "nowhere.png", ""]
    looked = of(gallery, *names)
    for _ in range(2):  # the second time out of the cache
        caplog.clear()
        notices.printed.clear()
        with caplog.at_level(logging.WARNING):
            branch = seen(make_pictures(), looked)
        assert branch(torch.arange(8)).present[:, 0].tolist() == [True] + [False] * 7
        assert branch.coverage == {"titles": 8, "with_picture": 1, "pictures": 8, "unreadable_pictures": 7}
        (warning,) = (record.message for record in caplog.records)
        assert warning.startswith("7 of 8 pictures cannot be read")
        assert len(warning.split("; ")) == 3


@pytest.mark.parametrize("layout", ["each", "pasted"])
def test_readable_pictures_survive_beside_unreadable_ones(make_pictures, seen, gallery, layout: str) -> None:
    paths = [str(gallery / name) for name in ("truncated.jpg", "1.png")]
    looked = pl.DataFrame({"portraits": [paths, paths[1:]]})
    for _ in range(2):
        branch = seen(make_pictures(layout=layout), looked)
        members = branch(torch.arange(2))
        assert branch.coverage["unreadable_pictures"] == 1
        assert torch.equal(members.values[0][members.present[0]], members.values[1][members.present[1]])


def test_frozen_pictures_are_computed_once(make_pictures, seen, gallery, tmp_path: Path, monkeypatch) -> None:
    first = values(seen(make_pictures(**LITE0), of(gallery, "0.png", "1.png")))
    assert (first[0] - first[1]).abs().max() > 0.1
    (tmp_path / "moved.png").write_bytes((gallery / "0.png").read_bytes())
    monkeypatch.setattr(
        "anirec.features.picture_encoders.load_picture_encoder", lambda *_: pytest.fail("computed again")
    )
    branch = seen(make_pictures(**LITE0), of(tmp_path, "moved.png"))
    assert torch.equal(values(branch)[0], first[0])


def test_only_the_last_layers_learn(make_pictures, seen, resnet: Path) -> None:
    for encoder, part in (("tiny", "layer4"), ("efficientnet_lite0", "blocks.6"), (str(resnet), "stages.1")):
        branch = seen(make_pictures(encoder=encoder, trained_layers=1))
        learning = [name for name, parameter in branch.named_parameters() if parameter.requires_grad]
        assert 0 < len(learning) < len(list(branch.parameters()))
        assert any(part in name for name in learning)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"frozen": True}, "tiny has no pretrained weights"),
        ({**LITE0, "trained_layers": 1}, "trained_layers=1 has no effect"),
        ({**LITE0, "encoder": "efficientnet_lite"}, "Did you mean efficientnet_lite0"),
        ({"encoder": "microsoft/resnet-50"}, "hf download microsoft/resnet-50"),
        ({"encoder": "timm/resnet18"}, r"hf download timm/resnet18\.a1_in1k"),
        ({"encoder": "timm/no_such_net"}, "hf download timm/no_such_net"),
    ],
)
def test_impossible_settings_are_refused(make_pictures, seen, changed: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        seen(make_pictures(**changed))


def test_a_large_jpeg_is_shrunk_while_it_is_read(make_pictures, seen, tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 3000, dtype=np.uint8)
    Image.fromarray(np.stack([np.tile(ramp, (2000, 1))] * 3, 2)).save(tmp_path / "large.jpg")
    Image.open(tmp_path / "large.jpg").save(tmp_path / "large.png")
    jpeg, png = seen(make_pictures(), of(tmp_path, "large.jpg", "large.png")).arrays.take(np.array([0, 1])).astype(int)
    assert np.abs(jpeg - png).max() <= 3


def test_a_second_run_reads_no_picture_unless_it_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither to decode it nor to hash it."""
    recipe = picture_encoders.recipe_of("tiny")
    preprocessing, paths = Preprocessing(recipe.library, recipe.preprocessing), []
    for shade in range(3):
        paths.append(str(tmp_path / f"{shade}.png"))
        Image.new("RGB", (40, 40), (80 * shade, 0, 0)).save(paths[-1])
    opened: list[str] = []
    open_file = Path.open

    def opening(path: Path, *args: Any, **settings: Any) -> Any:
        if path.suffix == ".png":
            opened.append(path.name)
        return open_file(path, *args, **settings)

    def looked() -> np.ndarray:
        gallery = Gallery([(path,) for path in paths], preprocessing, tmp_path / "cache")
        store = Store(tmp_path / "cache" / "pixels", (3, *preprocessing.size), np.uint8)
        return gallery.select(store, gallery.pixels, batch=2, what="reading").take(np.arange(3))

    monkeypatch.setattr(Path, "open", opening)
    monkeypatch.setattr(Path, "read_bytes", lambda path: opening(path, "rb").read())
    first = looked()
    assert sorted(set(opened)) == ["0.png", "1.png", "2.png"]
    opened.clear()
    np.testing.assert_array_equal(looked(), first)
    assert opened == []
    Image.new("RGB", (41, 41), (0, 250, 0)).save(paths[1])
    opened.clear()
    changed = looked()
    assert set(opened) == {"1.png"}
    assert not np.array_equal(changed[1], first[1])
    np.testing.assert_array_equal(changed[[0, 2]], first[[0, 2]])
