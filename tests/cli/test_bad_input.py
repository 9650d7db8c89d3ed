"""Whatever a user gets wrong is one line on stderr and exit status 2, and leaves nothing behind."""

import subprocess
import sys

import pytest
import yaml
from PIL import Image

SUPERNET = ("--strategy", "supernet")
LONG = "x" * 5000
NOBODY = "127.0.0.1:1"
ON_RAY = ("--executor", "ray_tune")
HALVING = ("--scheduler", "mo_asha", "--steps", "9")


# Arguments of each command, and what its line must name.
BAD_SEARCHES = [
    (["--spcae", "joint"], "--spcae"),
    (["surplus"], "surplus"),
    (["--trials", "many"], "Invalid value for '--trials'"),
    (["--space", "heterogenous_branches"], "did you mean 'heterogeneous_branches'?"),
    (["--space", "no/such.yaml"], "no search space file at"),
    (["--sampler", "cma"], "'cma' is not one of"),
    (["--sampler", "ehvi", "--cost", "latency_ms"], "costs must be computed, got latency_ms"),
    (["--cost", "predicted_latency_ms"], "--cost predicted_latency_ms needs --latency-table"),
    (["--max-latency", "5"], "--max-latency needs --latency-table, got none"),
    (["--latency-table", "nothing.json"], "there is no latency table nothing.json"),
    (["--cost", "joules"], "'joules' is not one of"),
    (["--cost", "macs", "--cost", "macs"], "--cost: a search weighs its score against 1 to 2"),
    (["--data", "cocostuff"], "'cocostuff' is not one of"),
    (["--profile", "laptpo"], "did you mean 'laptop'?"),
    (["--recipe", "nothing"], "no recipe 'nothing'"),
    (["--data", "camvid"], "data set 'camvid' needs root"),
    (["--data", "camvid", "--data-root", "no/such/folder"], "no/such/folder"),
    (["--data", "camvid", "--data-root", "."], "train"),
    (["--data-root", "."], "data set 'scenes' does not read root"),
    (["--classes", "classes.yaml"], "goes with name='folder'"),
    (["--trials", "0"], "trials: Input should be greater than or equal to 1, got 0"),
    (["--trials", "-3"], "got -3"),
    (["--steps", "0"], "recipe.steps: Input should be greater than or equal to 1, got 0"),
    (["--steps", "-1"], "got -1"),
    (["--confirm", "-1"], "confirm: Input should be greater than or equal to 0, got -1"),
    (["--seed", "-1"], "seed: "),
    (["--seed", str(2**32)], "seed: "),
    (["--confirm", "1000000000000"], "less than or equal to 1000"),
    (["--initial", "hrvit_b9"], "no architecture is called 'hrvit_b9'"),
    (["--initial", "mit_b0"], "got 'mit_b0', a pyramid of stages"),
    (["--long-steps", "20", "--steps", "30"], "long recipe must train for more steps than"),
    (["--long-steps", "-3"], "greater than or equal to 1, got -3"),
    (["--population", "1"], "population: "),
    (["--workers", "0"], "resources.workers: "),
    (["--cpus-per-trial", "0"], "resources.cpus_per_trial: "),
    (["--gpus-per-trial", "-0.5"], "resources.gpus_per_trial: "),
    (["--gpus-per-trial", "nan"], "resources.gpus_per_trial: "),
    (["--max-macs", "1"], "found no architecture with macs at most 1"),
    (["--max-macs", "nan"], "--max-macs must be above 0, got nan"),
    (["--max-params", "0"], "--max-params must be above 0, got 0"),
    (["--address", ""], "resources.address: "),
    (["--max-activation-bytes", "10"], "found no architecture with peak_activation_bytes"),
    (
        ["--calibrate-proxy", "5"],
        "--calibrate-proxy: Input should be greater than or equal to 6",
    ),
    (["--calibrate-proxy", "0"], "Invalid value for '--calibrate-proxy'"),
    (["--calibrate-proxy", "6", "--calibration-seeds", "1"], "--calibration-seeds: "),
    (["--calibrate-proxy", "6", "--wanted-tau", "1"], "--wanted-tau: "),
    (["--calibrate-proxy", "6", "--trials", "9"], "--trials has no meaning with"),
    (["--calibrate-proxy", "6", "--confirm", "2"], "--confirm has no meaning with"),
    (["--calibrate-proxy", "6", "--calibration", "x"], "--calibration has no meaning with"),
    (["--wanted-tau", "0.5"], "--wanted-tau needs --calibrate-proxy"),
    (["--calibration", "nowhere"], "nowhere holds no run"),
    (["--strategy", "oneshot"], "'oneshot' is not one of"),
    (["--supernet", "x.pt"], "--supernet needs --strategy supernet; drop it"),
    (["--supernet-steps", "9"], "--supernet-steps needs --strategy supernet; drop it"),
    (["--retrain", "2"], "--retrain needs --strategy supernet; drop it"),
    (["--ranking-check", "6"], "--ranking-check needs --strategy supernet; drop it"),
    (["--grace-period", "3"], "--grace-period needs --scheduler mo_asha; drop it"),
    (["--mo-selector", "nsga3"], "'nsga3' is not one of"),
    ([*HALVING, "--max-t", "10"], "--max-t must be at most the 9 steps"),
    ([*HALVING, "--grace-period", "9"], "grace_period must be below the 9 steps"),
    ([*HALVING, "--trials", "2"], "must be at least 3 for one to reach"),
    (["--scheduler", "mo_asha", "--profile", "laptop"], "--max-t must be above 200, up to 600"),
    (
        [*HALVING, "--strategy", "supernet"],
        "--scheduler pauses trainings, and a supernet's scores need none; drop it",
    ),
    (["--calibration-seeds", "3"], "needs --calibrate-proxy or --ranking-check"),
    (["--calibrate-proxy", "6", "--strategy", "supernet"], "--strategy has no meaning with"),
    (["--calibrate-proxy", "6", "--ranking-check", "6"], "--ranking-check has no meaning with"),
    (["--calibrate-proxy", "6", "--retrain", "2"], "--retrain has no meaning with"),
    ([*SUPERNET, "--supernet", "x.pt"], "no supernet at x.pt"),
    ([*SUPERNET, "--supernet", "."], "no supernet at ."),
    ([*SUPERNET, "--supernet", "x.pt", "--supernet-steps", "9"], "which is trained already"),
    ([*SUPERNET, "--supernet-steps", "0"], "supernet.steps: Input should be greater"),
    ([*SUPERNET, "--retrain", "0"], "--retrain: Input should be greater than or equal to 1"),
    ([*SUPERNET, "--ranking-check", "0"], "Invalid value for '--ranking-check'"),
    (
        [*SUPERNET, "--ranking-check", "3"],
        "must compare at least 6 subnets, or 0 for none, got 3",
    ),
    ([*SUPERNET, "--ranking-check", "6", "--calibration-seeds", "1"], "--calibration-seeds: "),
    ([*SUPERNET, "--calibration-seeds", "3"], "needs --calibrate-proxy or --ranking-check"),
    ([*SUPERNET, "--wanted-tau", "0.5"], "--wanted-tau needs --calibrate-proxy"),
    (["--resume", "nowhere"], "nowhere holds no run (config.json is missing)"),
    (["--output", "/dev/null/run"], "cannot open /dev/null/run/trials.jsonl: Not a directory"),
    (["--output", "/dev/null"], "/dev/null"),
    ([LONG], "unexpected extra argument"),
    (["--trials", "9" * 5000], "Invalid value for '--trials'"),
    (["--steps", "-" + "9" * 300], "recipe.steps: "),
    (["--space", LONG], "File name too long"),
    (["--space", f"{LONG}.yaml"], "File name too long"),
    (["--space", "two\nlines"], "two"),
    (["--profile", LONG], "File name too long"),
    (["--recipe", LONG], "File name too long"),
    (["--recipe", "."], "no recipe '.'"),
    (["--initial", ",".join(["hrvit_b1"] * 400 + ["nothing"])], "no architecture is called"),
    (["--initial", LONG], "no architecture is called"),
    (["--references", LONG], "no architecture is called"),
    (["--output", LONG], "File name too long"),
    (["--resume", LONG], "File name too long"),
    (["--data", "folder", "--data-root", LONG, "--classes", "c.yaml"], "x"),
    (["--max-macs", "inf"], "max"),
    (["--cpus-per-trial", "4096"], "asked for 4096 CPU, the largest node has"),
    (["--gpus-per-trial", "64"], "asked for 64 GPU, the largest node has"),
    (["--gpus-per-trial", "1.5"], "must be a fraction of at most 1 or a whole number, got 1.5"),
    (["--workers", "2"], "a trial at a time; workers must be 1, got 2"),
    (["--address", "auto"], "executor inline runs in this process; address must not be set"),
    ([*ON_RAY, "--cpus-per-trial", "4096"], "asked for 4096 CPU, the largest node has"),
    ([*ON_RAY, "--gpus-per-trial", "64"], "asked for 64 GPU, the largest node has"),
    ([*ON_RAY, "--address", NOBODY], f"Ray does not start or answer at {NOBODY}: "),
    ([*ON_RAY, "--address", f"ray://{NOBODY}"], f"does not start or answer at ray://{NOBODY}: "),
    ([*ON_RAY, "--address", "192.0.2.2:-1"], "the port must be a number from 1 to 65535, got '-1'"),
    ([*ON_RAY, "--address", "localhost:99999"], "from 1 to 65535, got '99999'"),
    ([*ON_RAY, "--address", "not an address"], "an address must be auto or HOST:PORT"),
    ([*ON_RAY, "--address", LONG], "an address must be auto or HOST:PORT"),
    ([*ON_RAY, "--address", f"{LONG}:1"], "Ray does not start or answer at"),
    (["--storage", f"postgresql://me:secret@{NOBODY}/db"], f"postgresql://me:***@{NOBODY}/db"),
    (["--storage", f"mysql+pymysql://{NOBODY}/db"], "start or mend it, or give another"),
    (["--storage", "sqlite:////nonexistent/dir/x.db"], "there is no folder /nonexistent/dir"),
    (["--storage", "sqlite:///noise.db"], "file is not a database"),
    (["--storage", "sqlite://"], "a storage in memory is lost"),
    (["--storage", "study.db"], "the study's storage 'study.db' cannot be used"),
    (["--storage", "nothing://here"], "the study's storage 'nothing://here' cannot be used"),
    (["--storage", f"postgresql://{LONG}"], "start or mend it, or give another"),
    (["--storage", ""], "the study's storage '' cannot be used"),
    (["--mlflow", f"http://{NOBODY}"], f"http://{NOBODY} cannot be used"),
    (["--mlflow", "sqlite:////nonexistent/dir/x.db"], "/nonexistent/dir/x.db cannot be used"),
]
BAD_ABLATIONS = [
    ([], "name a plan: baselines, branch_allocation, components_on_searched"),
    (["publishd_components"], "did you mean 'published_components'?"),
    ([LONG], "File name too long"),
    (["no/such.yaml"], "no ablation"),
    (["strip_width", "surplus"], "surplus"),
    (["strip_width", "--spcae", "joint"], "--spcae"),
    (["components_on_searched", "--cost-only"], "give one with --base"),
    (["strip_width", "--base", "hrvit_b9"], "hrvit_b9"),
    (["strip_width", "--base", ""], "no architecture is called ''"),
    (["strip_width", "--base", "mit_b0"], "the base of an ablation must be an HRViT"),
    (["strip_width", "--base", "no/such.json"], "no/such.json holds no architecture"),
    (["strip_width", "--base", "nowhere:0123456789ab"], "nowhere"),
    (["strip_width", "--base", LONG], "File name too long"),
    (["published_components", "--seeds", "1"], "at least 3 seeds, got 1"),
    (["published_components", "--seeds", "many"], "Invalid value for '--seeds'"),
    (["strip_width", "--seed", "-1"], "seed"),
    (["strip_width", "--seed", str(2**32 - 2)], "seeds must be below 4294967296, got 4294967296"),
    (["published_components", "--only", "kv_sharin"], "no change 'kv_sharin'; it has kv_sharing"),
    (["published_components", "--only", ","], "name changes of the plan to look at"),
    (["published_components", "--only", LONG], "the plan has no change"),
    (["strip_width", "--only", "2"], "a sweep has no named changes to choose from"),
    (["strip_width", "--cost-only", "--seeds", "4"], "--seeds has no meaning with --cost-only"),
    (["strip_width", "--cost-only", "--output", "/"], "must be a file"),
    (["strip_width", "--cost-only", "--output", "no/costs.csv"], "No such file or directory"),
    (["strip_width", "--resume", "run"], "the plan cannot be changed"),
    (["--resume", "nowhere"], "nowhere holds no run"),
    (["--resume", "run"], "holds a search; continue it with hrvit-search --resume run"),
    (["strip_width", "--data", "camvid"], "camvid"),
    (["strip_width", "--data", "cocostuff"], "'cocostuff' is not one of"),
    (["strip_width", "--format", "word"], "--format"),
    (["strip_width", "--criterion", "taste"], "--criterion"),
    (["strip_width", "--steps", "0"], "steps"),
    (["strip_width", "--profile", "laptpo"], "did you mean 'laptop'?"),
    (["strip_width", "--recipe", "nothing"], "no recipe 'nothing'"),
    (["branch_allocation", "--cheap"], "a supernet cannot bring arms to equal MACs"),
    (["baselines", "--cheap", "--only", "cswin_ti"], "'cswin_ti' is another architecture"),
    (["strip_width", "--supernet-steps", "3"], "--supernet-steps needs --cheap"),
    (["strip_width", "--cheap", "--supernet-steps", "0"], "steps"),
    (["strip_width", "--workers", "0"], "workers: "),
    (["strip_width", "--cpus-per-trial", "4096"], "asked for 4096 CPU, the largest node has"),
    (["strip_width", "--gpus-per-trial", "64"], "asked for 64 GPU, the largest node has"),
    (["strip_width", "--address", NOBODY], f"Ray does not start or answer at {NOBODY}: "),
    (["strip_width", "--mlflow", f"http://{NOBODY}"], f"http://{NOBODY} cannot be used"),
    (["strip_width", "--output", "/dev/null/run"], "/dev/null/run"),
    (["strip_width", "--output", "run"], "holds a run already; resume it, or name another"),
]
BAD_REPORTS = [
    ([], "name a run directory, or an architecture with --arch"),
    (["nowhere"], "nowhere holds no run (config.json is missing)"),
    ([LONG], "File name too long"),
    (["run", "nowhere"], "nowhere holds no run"),
    (["--colour", "red"], "--colour"),
    (["--arch", "hrvit_b9"], "hrvit_b9"),
    (["--arch", "0123456789ab"], "name its run too: RUN --arch 0123456789ab"),
    (["--arch", "{}"], "schema_version"),
    (["--arch", '{"a":'], "an architecture must be JSON"),
    (["--arch", '{"a":' * 5000], "nested too deeply"),
    (["--arch", f'{{"{LONG}": 1}}'], "schema_version"),
    (["--arch", "no/such.json"], "no/such.json holds no architecture"),
    (["--arch", "nowhere:0123456789ab"], "nowhere"),
    (["--arch", "run"], "run has no frontier to take an architecture of"),
    (["--arch", "hrvit_b1", "--output", "b1.gif"], "must end in .png, .pdf, .svg; got 'b1.gif'"),
    (["--arch", "hrvit_b1", "--output", "no/b1.svg"], "No such file or directory"),
    (["--arch", "hrvit_b1", "--watch"], "--watch has no meaning with --arch"),
    (["run", "--watch", "--output", "x.html"], "--output has no meaning with --watch"),
    (["run", "--port", "80"], "--port has no meaning with a page that is not served"),
    (["run", "--watch", "--port", "70000"], "less than or equal to 65535"),
    (["run", "--watch", "--port", "some"], "Invalid value for '--port'"),
    (["run", "--output", "x.pdf"], "must end in .html, got 'x.pdf'"),
    (["nowhere", "--watch"], "nowhere holds no run"),
    (["run", "--arch", "ffffffffffff"], "no trial of an architecture 'ffffffffffff' in run"),
]
BAD_DATA = [
    ([], "Missing command"),
    (["chekc", "--data", "scenes"], "No such command 'chekc'"),
    (["check"], "Missing option '--data'"),
    (["check", "--data", "cocostuff"], "'cocostuff' is not one of"),
    (["check", "--data", "none"], "--data none has no images to check"),
    (["check", "--data", "camvid"], "data set 'camvid' needs root"),
    (["check", "--data", "camvid", "--data-root", "nowhere"], "is not a folder"),
    (["check", "--data", "camvid", "--data-root", "."], "folder of images is missing"),
    (["check", "--data", "camvid", "--data-root", LONG], "x"),
    (["check", "--data", "scenes", "--data-root", "."], "'scenes' does not read root"),
    (["check", "--data", "scenes", "--classes", "c.yaml"], "goes with name='folder'"),
    (["check", "--data", "folder", "--data-root", "."], "goes with name='folder'"),
    (
        ["check", "--data", "folder", "--data-root", ".", "--classes", "no.yaml"],
        "cannot read classes file no.yaml",
    ),
    (["check", "--data", "scenes", "--sheet", "sheet.gif"], "must end in .png, got 'sheet.gif'"),
]
BAD_TRAININGS = [
    ([], "name an architecture with --arch"),
    (["--arch", "hrvit_b9"], "no architecture is called 'hrvit_b9'"),
    (["--arch", "nowhere:0123456789ab"], "nowhere"),
    (["--arch", "hrvit_b1", "--width-factor", "0"], "Invalid value for '--width-factor'"),
    (["--arch", "hrvit_b1", "--recipe", "camvid_ful"], "did you mean 'camvid_full'?"),
    (
        ["--arch", "hrvit_b1", "--recipe", "misspelt.yaml"],
        "recipe.stepz: unknown key; did you mean 'steps'?",
    ),
    (["--arch", "hrvit_b1", "--data", "camvid"], "data set 'camvid' needs root"),
    (["--arch", "hrvit_b1", "--data", "cocostuff"], "'cocostuff' is not one of"),
    (["--arch", "hrvit_b1", "--steps", "0"], "--steps: Input should be greater than or equal to 1"),
    (["--arch", "hrvit_b1", "--batch-size", "0"], "--batch-size: Input should be greater"),
    (["--arch", "hrvit_b1", "--drop-path-rate", "1"], "--drop-path-rate: Input should be less"),
    (["--arch", "hrvit_b1", "--scale-rate", "linear"], "--scale-rate needs --batch-size"),
    (["--arch", "hrvit_b1", "--scale-rate", "cubic"], "'cubic' is not one of"),
    (["--arch", "hrvit_b1", "--init-part", "backbone"], "--init-part needs --init"),
    (["--arch", "hrvit_b1", "--init", "nowhere.pth"], "no network at nowhere.pth"),
    (["--arch", "hrvit_b1", "--init", "noise.db"], "noise.db cannot be read"),
    (["--arch", "hrvit_b1", "--seed", "-1"], "seed: "),
    (["--arch", "hrvit_b1", "--workers", "0"], "resources.workers: "),
    (["--arch", "hrvit_b1", "--gpus-per-worker", "64"], "asked for 64 GPU, the largest node has"),
    (["--arch", "hrvit_b1", "--address", NOBODY], f"Ray does not start or answer at {NOBODY}"),
    (["--arch", "hrvit_b1", "--output", "."], "needs a new or empty directory"),
    (["--arch", "hrvit_b1", "--mlflow", f"http://{NOBODY}"], f"http://{NOBODY} cannot be used"),
    (["--resume", "nowhere"], "nowhere holds no training (config.json is missing)"),
    (["--resume", "nowhere", "--steps", "9"], "--steps cannot be changed with --resume"),
    (["--resume", "run"], "run holds a run of kind 'search', and no training"),
]
BAD_EXPORTS = [
    ([], "Missing argument 'PATH'"),
    (["nowhere"], "no network at nowhere: name a folder that save_pretrained wrote"),
    (["nowhere:0123456789ab"], "no network at nowhere:0123456789ab"),
    (["hrvit_b1"], "no network at hrvit_b1"),
    ([LONG], "File name too long"),
    (["."], "holds no run (config.json is missing)"),
    (["run"], "run has no frontier to take an architecture of"),
    (["noise.db"], "noise.db cannot be read"),
    (["run", "--format", "pickle"], "'pickle' is not one of"),
    (["run", "--size", "512"], "--size must be height and width, such as 512x1024, got '512'"),
    (["run", "--output", "network.pt"], "--output must end in .onnx for --format onnx"),
    (["run", "--format", "exported", "--output", "x.onnx"], "must end in .pt2"),
    (["run", "--format", "pretrained", "--output", "x.onnx"], "must have no ending, as a folder"),
    (["run", "--format", "pretrained", "--normalise"], "--normalise has no meaning with"),
    (["run", "--format", "pretrained", "--no-check"], "--check has no meaning with"),
    (["run", "--spcae", "joint"], "--spcae"),
]

MEASURE = ("measure", "--output", "latency.json")
BAD_LATENCIES = [
    (["measure"], "Missing option '--output'"),
    (["measure", "--output", "no/such/latency.json"], "--output must be in a folder that is there"),
    ([*MEASURE, "--space", "heterogenous_branches"], "did you mean 'heterogeneous_branches'?"),
    ([*MEASURE, "--profile", "laptpo"], "did you mean 'laptop'?"),
    ([*MEASURE, "--image-size", "16", "64"], "image_size"),
    ([*MEASURE, "--image-size", "64"], "--image-size"),
    ([*MEASURE, "--device", "abacus"], "--device must be cpu, cuda or cuda:N, got 'abacus'"),
    ([*MEASURE, "--device", "meta"], "--device must be cpu, cuda or cuda:N, got 'meta'"),
    ([*MEASURE, "--device", "cuda:99"], "--device cuda:99 must be there; torch sees"),
    ([*MEASURE, "--threads", "0"], "--threads"),
    ([*MEASURE, "--repeats", "0"], "--repeats"),
    ([*MEASURE, "--calibrate", "3"], "--calibrate must be at least 8, got 3"),
    ([*MEASURE, "--validate", "-1"], "--validate"),
    (["measure", "--output", "."], "cannot read .: Is a directory"),
    (["predict", "nothing.json", "--arch", "hrvit_b1"], "there is no latency table nothing.json"),
    (["predict", "noise.db", "--arch", "hrvit_b1"], "noise.db is no latency table: Expecting"),
    (["predict", "nothing.json"], "Missing option '--arch'"),
    (["predict", "nothing.json", "--arch", ","], "--arch must name an architecture, got none"),
]
SCENES = ("--data", "scenes")
NET = ("--model", "net")
# Of both commands that bring images through a network.
BAD_INFERENCE = [
    (["--mode", "tiles"], "'tiles' is not one of"),
    (["--mode", "slide"], "--mode slide needs --crop"),
    (["--crop", "64", "64"], "--crop needs --mode slide; drop it"),
    (["--stride", "64", "64"], "--stride needs --mode slide; drop it"),
    (["--mode", "slide", "--crop", "64"], "Option '--crop' requires 2 arguments"),
    (["--mode", "slide", "--crop", "0", "64"], "the window must be at least 1x1, got 0x64"),
    (["--mode", "slide", "--crop", "64", "64", "--stride", "65", "64"], "got (65, 64)"),
    (["--mode", "slide", "--crop", "64", "64", "--stride", "0", "64"], "got (0, 64)"),
    (["--scales", "half"], "--scales must be numbers separated by commas"),
    (["--scales", "0.5,0"], "a scale must be 0.1 to 8, got 0"),
    (["--scales", "1,nan"], "a scale must be 0.1 to 8, got nan"),
    (["--scales", ","], "scales must name one at least"),
    (["--scales", "1,1.0"], "two scales are the same"),
    (["--scales", LONG], "--scales must be numbers"),
    (["--input-size", "0", "9"], "the input size must be at least 1x1, got 0x9"),
    (["--device", "gpu"], "--device must be cpu, cuda, cuda:N or mps, got 'gpu'"),
    (["--device", "cuda:99"], "--device cuda:99: there is"),
    (["--device", "cpu:1"], "--device cpu:1: there is 1 of cpu"),
    (["--device", LONG], "--device must be cpu"),
    (["--threads", "0"], "Invalid value for '--threads'"),
    (["--submission", "camvid"], "'camvid' is not one of"),
    (["--output", "net/config.json", "--submission", "ade20k"], "must be of 150 classes"),
]
BAD_EVALUATIONS = [
    ([], "Missing option '--model'"),
    ([*NET], "Missing option '--data'"),
    (["--model", "nowhere", *SCENES], "no network at nowhere"),
    (["--model", ".", *SCENES], "holds no run"),
    (["--model", LONG, *SCENES], "File name too long"),
    (["--model", "noise.db", *SCENES], "noise.db"),
    (["--model", "nowhere:0123456789ab", *SCENES], "no network at nowhere:0123456789ab"),
    ([*NET, "--data", "cocostuff"], "'cocostuff' is not one of"),
    ([*NET, "--data", "none"], "--data none has no images to score on"),
    ([*NET, "--data", "camvid"], "data set 'camvid' needs root"),
    ([*NET, "--data", "camvid", "--data-root", "nowhere"], "is not a folder"),
    ([*NET, *SCENES], "net tells 6 classes apart, and data set 'scenes' has 10"),
    ([*NET, *SCENES, "--split", "test"], "'test' is not one of"),
    ([*NET, *SCENES, "--image-size", "0", "9"], "--image-size: Input should be greater"),
    ([*NET, *SCENES, "--image-size", "9"], "Option '--image-size' requires 2 arguments"),
    ([*NET, *SCENES, "--format", "word"], "'word' is not one of"),
    ([*NET, *SCENES, "--submission", "ade20k"], "--submission needs --output"),
    (
        [*NET, *SCENES, *("--submission", "ade20k", "--output", "x", "--image-size", "9", "9")],
        "use --input-size in place of --image-size",
    ),
]
BAD_PREDICTIONS = [
    ([*NET], "Missing argument"),
    (["photo.png"], "Missing option '--model'"),
    ([*NET, "nowhere.jpg"], "no image and no folder at nowhere.jpg"),
    ([*NET, "photo.png", "nowhere"], "no image and no folder at nowhere"),
    ([*NET, "empty"], "folder empty holds no .jpg"),
    ([*NET, LONG], "File name too long"),
    (["--model", "nowhere", "photo.png"], "no network at nowhere"),
    ([*NET, "photo.png", "--opacity", "1.5"], "Invalid value for '--opacity'"),
    ([*NET, "photo.png", "--opacity", "nan"], "Invalid value for '--opacity'"),
    ([*NET, "photo.png", "--output", "."], "photo.png is an image to be read"),
    ([*NET, "photo.png", "--output", ".", "--overwrite"], "photo.png is an image to be read"),
    ([*NET, "photo.png", "--output", "seen"], "seen/photo.png would be replaced; allow it"),
    ([*NET, "photo.png", "--submission", "cityscapes"], "must be of 19 classes"),
    ([*NET, "photo.png", "--output", "net/config.json"], "File exists: net/config.json"),
]
BAD_INPUTS = [
    *(("train", *row) for row in BAD_TRAININGS),
    *(("latency", *row) for row in BAD_LATENCIES),
    *(("data", *row) for row in BAD_DATA),
    *(("search", *row) for row in BAD_SEARCHES),
    *(("ablate", *row) for row in BAD_ABLATIONS),
    *(("report", *row) for row in BAD_REPORTS),
    *(("export", *row) for row in BAD_EXPORTS),
    *(("eval", *row) for row in BAD_EVALUATIONS),
    *(("eval", [*NET, *SCENES, *row[0]], row[1]) for row in BAD_INFERENCE[:-1]),
    *(("predict", *row) for row in BAD_PREDICTIONS),
    *(("predict", [*NET, "photo.png", *row[0]], row[1]) for row in BAD_INFERENCE),
]


def make_photographs(folder):
    for name in ("empty", "seen"):
        (folder / name).mkdir()
    for name in ("photo.png", "seen/photo.png"):
        Image.new("RGB", (40, 32)).save(folder / name)


@pytest.mark.parametrize(("command", "arguments", "expected"), BAD_INPUTS)
def test_bad_input_is_refused(command, arguments, expected, refuses, profile, request, tmp_path):
    if "run" in arguments:
        request.getfixturevalue("run_dir")
    (tmp_path / "noise.db").write_bytes(b"noise" * 500)
    misspelt = {"description": "x", "recipe": {"stepz": 3}}
    (tmp_path / "misspelt.yaml").write_text(yaml.safe_dump(misspelt))
    if command in ("eval", "predict"):
        request.getfixturevalue("network")
        make_photographs(tmp_path)
    plain = command == "search" and not {"--profile", "--resume"} & set(arguments)
    line = refuses(command, *(["--profile", profile] if plain else []), *arguments)
    assert expected in line
    assert "Traceback" not in line
    assert "secret" not in line


def test_a_warning_is_one_short_line_too():
    code = """if True:
        import logging, typer
        from hrvit_nas.cli.errors import run_app
        app = typer.Typer()
        app.command()(lambda: logging.getLogger("x").warning("cause\\n" + "y" * 5000 + " remedy"))
        run_app(app, "hrvit-search")
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    assert line.startswith("hrvit-search: cause y")
    assert line.endswith("y remedy")
    assert len(line) == 300
