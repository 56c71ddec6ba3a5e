"""HDF5 files that refer to others, written by h5py 3 in both forms of its headers and kept here as text."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path

import numpy as np
import pytest

from seepseg.conditions.hdf5 import names_other_files
from seepseg.conditions.winds import read_winds
from seepseg.errors import DataError

FILES = {
    "a link, earliest": (
        "c-rgqaB<`1lHy_j0S*oZ76t(ZWbhvf3Yby(F!=;1%?PDCp!5nRm^ceqP68?}05x9$YF+?TJS51~71?}rdq%;?1|F`C;G_}(<#Ryk"
        "6HKV;VCgV`O7=3rQ!e(D$pv%?Ba(VHsCq^Y2j)^k1AYdE{F02+BE7t127Mr(0RUKJJ*@"
    ),
    "values elsewhere, earliest": (
        "c-rgqaB<`1lHy_j0S*oZ76t(ZWbhvfHn5`dVe$!3nh{EOK<O1sFmXn(oCH){5NbZUx{x4OSCH!eXaHtU1`CAdU>F4>5qP*d27u@Y"
        "C?A$ePcWgXD>XDgNsk^B+RMnm1~H2f#@B$*Ob`KRvSff}4-7stFy(_(3M$A$<rEmiIT*z2;p#ZR@=Qz+1KEM*GeWHc<s1VX={|q~"
        "CJxD2%#5%c6M!CaG>HcZw0s}Hf~qdRBqOy*FDWw*$`AJQcLDha<_`tt(KJmC006r^JMR"
    ),
    "none, earliest": (
        "c-rgqaB<`1lHy_j0S*oZ76t(ZWbhvfcsNk`F!=;1%?PDCp!5nRm^dR?P68?}2sIyFT}Y6tD@gT!Gyt>5fCWOMx^5JV6yV|N7yzOp"
        "pnL@=eS!&9U8$h~m@b3T`cMH_`m`X?UPcC1h+ak*ACi(886g79P<04e0<2U}L7ssH>QZqI2Jw2RJSzhSSe}WA32Xod)I4TJ251iB"
        "L32UJpo)iJKYtfS1}2ze85EfDs~12kM_|z<F`A@D!6+CcpurwUH~;|q<v2G"
    ),
    "a link, latest": (
        "c-rgqaB<`1lHy|K;9!7(|4^_Q$~S=0Q$xeL{XJZQm>4RUgpd`&02dPjBLf4Q1Oo#jhXZq|p#eVwLw-p{YLQ-EGJ`&l&%j{AKoRg+%HjzC{1GJg"
    ),
    "values elsewhere, latest": (
        "c-rgqaB<`1lHy|K;9!7(|4{Iq5yCfsiZ9I(_4W5~31VWXU=l)B2m@S93_vYxd<;N}xzx~LGt5Lc1}cG<lUWXeoxsSz$f&}=z{JGJ"
        "$O4sPh0^GJW)TKPK?QlJxB`PX2ZMM$NFL}~W-fLOph*lM7c(;KhkBR;&DH=Y%>nc^Gb7BmFj0mQh5-Qv@q)`dTphvAkbsIoJ-~3E"
        "5mjw|Nk(dsUQ%Wrln(&T-Zkt"
    ),
    "put together, latest": (
        "c-rgqaB<`1lHy|K;9!7(|4_gn0pS}!#T`34+5J6Sf|wX8n1qlO!T=W&10w?i8y^FZVlFi_*bFn#je$zw<z$wFU?(UZILeugj2Rdi"
        "RTvnUm>3yZplVs6G&-MIgn>~|K^`iuz#z`SAYKoW2fCh_n*->27G?%$XfT3^B@9CXe3P*J$}kE>!6+C7qhJ&e1KgeceZZBR08)hq"
        "1RgL2FoFD%jMO5%ykrJoz0SalBmn|UplTH)#>52G#0ailK{P9a!m9ntVJc_vkB0du7zLwX6pVsVFbYP&C>RB!U=)mkQ9y410DxyV"
        "Tm"
    ),
    "none, latest": (
        "c-rgqaB<`1lHy|K;9!7(|4_gK6*7Q|8$3I5$=|~zh>4+sNeEdX3~(_qFfuT(@i71?=2An0%}|YOyg(5SM&>d@0~Q8-pag>{19{;1"
        "Lba)2ConQFGKw%TFflSRGDGFyv<L&Epn^OD3z(<CAkM)cUJqok0$s<<#Q}6VGb01kYdkQ6H!uu2@O=8FcMPLo6pVsVFbYNi`Jllb"
        "NH_oh7Jw`1"
    ),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_names_others_is_found_and_not_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "wind.nc"
    path.write_bytes(zlib.decompress(base64.b85decode(FILES[kind])))
    assert names_other_files(path) is not kind.startswith("none")
    with pytest.raises(DataError) as error:
        read_winds([path])
    assert ("names other files" in str(error.value)) is not kind.startswith("none")


def test_values_look_like_no_reference(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    chance = rng.integers(0, 256, 2**20, np.uint8).tobytes()
    small = rng.integers(0, 9, 2**17).astype("<i8").tobytes() + (np.arange(2**16) % 70).astype("<f4").tobytes()
    path = tmp_path / "wind.nc"
    path.write_bytes(b"\x89HDF" + chance + small + b"HEAP" + b"GCOL")
    assert not names_other_files(path)
