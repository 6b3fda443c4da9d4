"""Gets the published data files: the one place that downloads, with a checksum for each file.

A file is downloaded once into the user's cache directory, or taken as it is from a directory of the user's.
"""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from datasets.cache import cache_dir, sha256
from tinygrad_np.extras import import_optional


@dataclass(frozen=True)
class Source:
    """Where a file is published, and the SHA-256 (64 hexadecimal digits) of its published bytes."""

    url: str
    sha256: str


# The IMDb files are record 4117827 of Zenodo, doi:10.5281/zenodo.4117827. Their plain address is used: it
# takes a single request, as the others do, and none before it to find out what the DOI stands for.
SOURCES = {
    "imdb_train.txt": Source(
        url="https://zenodo.org/records/4117827/files/imdb_train.txt?download=1",
        sha256="6a38ea6ab5e1902cc03f6b9294ceea5e8ab985af991f35bcabd301a08ea5b3f0",
    ),
    "imdb_test.txt": Source(
        url="https://zenodo.org/records/4117827/files/imdb_test.txt?download=1",
        sha256="7363ef08ad996bf4233b115008d6d7f9814b7cc0f4d13ab570b938701eadefeb",
    ),
    "glove.6B.zip": Source(
        url="https://nlp.stanford.edu/data/glove.6B.zip",
        sha256="617afb2fe6cbd085c235baf7a465b96f4112bd7f7ccb2b2cbd649fed9cbcf2fb",
    ),
    "speeches.csv": Source(
        url="https://raw.githubusercontent.com/numpy/numpy-tutorials/"
        "08fcaf9f8e56dc30a8d4e5420c651e460e75303b/content/tutorial-nlp-from-scratch/speeches.csv",
        sha256="aa5b414425f5f63472ca91ef638db623309332ddf630ebe4aa80ebe398fd6a39",
    ),
} | {
    # MNIST's own address is often closed; this one is kept by PyTorch's project, and the bytes are the same.
    f"{name}.gz": Source(url=f"https://ossci-datasets.s3.amazonaws.com/mnist/{name}.gz", sha256=digest)
    for name, digest in {
        "train-images-idx3-ubyte": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    }.items()
}


def fetch(name: str, data_dir: str | os.PathLike[str] | None = None) -> Path:
    """The path of a data file, which is downloaded if it is not there yet.

    Parameters
    ----------
    name : str
        One of the names in `SOURCES`.
    data_dir : path, optional
        A directory that holds the file already. It is then used as it is: nothing is downloaded and no
        checksum is asked for. Without it the file comes from `cache_dir`, downloaded if missing or damaged.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ValueError
        If the name is unknown, or the file in `data_dir` is empty.
    FileNotFoundError
        If `data_dir` is given and holds no such file.
    RuntimeError
        If the download fails or brings other bytes than the published ones. Nothing of it is kept.
    PermissionError
        If others may write to the cache directory.
    """
    if name not in SOURCES:
        raise ValueError(f"there is no data file {name!r}, only {', '.join(SOURCES)}")
    source = SOURCES[name]

    if data_dir is not None:
        path = Path(data_dir) / name
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is missing: put the file of {source.url} there, or leave out data_dir to download it"
            )
        if path.stat().st_size == 0:
            raise ValueError(f"{path} is empty: replace it by the file of {source.url}")
        return path

    path = cache_dir() / name
    if path.is_file() and sha256(path) == source.sha256:
        return path
    pooch = import_optional("pooch")
    requests = import_optional("requests")  # what pooch downloads with
    pooch.get_logger().setLevel("ERROR")  # the progress bar says enough
    try:
        directory = cache_dir(make=True)
        pooch.retrieve(
            url=source.url,
            known_hash=f"sha256:{source.sha256}",
            fname=name,
            path=directory,
            downloader=pooch.HTTPDownloader(
                progressbar=importlib.util.find_spec("tqdm") is not None,
                chunk_size=1 << 16,  # pooch's own 1 KiB would move the bar 800,000 times for GloVe
            ),
        )
    except requests.HTTPError as error:
        cause = f"the server answered {error.response.status_code} {error.response.reason}"
    except requests.exceptions.ChunkedEncodingError:
        cause = "the transfer was cut off"
    except requests.Timeout:
        cause = "the server did not answer in time"
    except requests.ConnectionError:
        cause = "the server cannot be reached, or the connection broke"
    except ValueError:  # pooch's word for a wrong checksum
        cause = "the bytes that came are not the published ones, as their SHA-256 is another"
    except OSError as error:
        cause = str(error)
    else:
        return path
    raise RuntimeError(
        f"{name} cannot be downloaded from {source.url}: {cause}; check the network and try again, or get "
        f"the file by hand and give the directory that holds it as data_dir"
    )
