"""What holds for the checkpoints of any published transformer, whichever reader reads them."""

from __future__ import annotations

import pytest
import torch

from methods._grn.checkpoint import SourceError
from tests.methods.grn.checkpoint_case import PUBLISHED, maps_of


@pytest.fixture(params=PUBLISHED)
def published(request):
    """Every reader in turn."""
    return PUBLISHED[request.param]


@pytest.mark.parametrize("normalisation", ["softmax", "scores", "ranks"])
def test_unknown_genes_are_absent_and_change_nothing_for_the_others(published, tmp_path, normalisation):
    """Rows and columns of genes outside the vocabulary are zero; the rest is the map without them."""
    folder, genes, (one, other) = published.write(tmp_path), published.genes, published.unknown
    panel = [one, *genes[:4], other, *genes[4:]]
    known = torch.tensor([gene in genes for gene in panel])
    given = published.expression()
    cells = torch.full((len(given), len(panel)), 5.0)
    cells[:, known] = given
    source = published.load(folder, panel, normalisation=normalisation)
    maps = maps_of(source, cells, block=3)
    assert source.missing == [one, other]
    assert not maps[:, ~known].any()
    assert not maps[:, :, ~known].any()
    alone = maps_of(published.load(folder, genes, normalisation=normalisation), given)
    torch.testing.assert_close(maps[:, known][:, :, known], alone)


@pytest.mark.parametrize("layer", [3, -4])
def test_a_layer_that_is_not_there_is_refused(published, tmp_path, layer):
    with pytest.raises(SourceError, match=rf"no layer {layer} .* 3 layers; choose one from -3 to 2"):
        published.load(published.write(tmp_path), published.genes, layer=layer)


def test_a_vocabulary_that_covers_too_little_is_refused(published, tmp_path):
    """Half of the panel is enough; less is not, and the counts and some of the genes are named."""
    folder = published.write(tmp_path)
    panel = [*published.genes[:4], *(f"NEW{i}" for i in range(4))]
    assert published.load(folder, panel).missing == ["NEW0", "NEW1", "NEW2", "NEW3"]
    with pytest.raises(SourceError, match=r"only 2 of the panel's 10 genes.*NEW0, .*NEW4 and 3 more"):
        published.load(folder, [*published.genes[:2], *(f"NEW{i}" for i in range(8))])
