"""Mix a tenth of the base encoder into the five models of round 7, export and gate anew, judge as served on the gauge."""
import json,glob,shutil,sys
from pathlib import Path
import transformers; transformers.logging.set_verbosity_error()
from transformers import AutoModelForSequenceClassification as A
from asif_data import model_dir
from asif_data.encoding import InputEncoder
from asif_data.rows import Row
from asif_train.base_model import locate
from asif_train.corpus import read_corpus
from asif_train.evaluate import evaluate
from asif_train.finetune import keep_of_base,load_network
from asif_train.fit import _build
from asif_train.recipe import read_recipe
real=[Row(**{k:v for k,v in json.loads(l).items() if k in("text","context","label","id","group")}) for l in open("real.jsonl")]
c=read_corpus("data/corpus"); base=locate()
for d in sorted(glob.glob("runs/m*/2*")):
    s=int(d.split("/m")[1][0]); old=model_dir.load(d); final=Path(f"mixed/m{s}/{old.manifest.version}")
    if not final.exists():
        net=A.from_pretrained(d)
        keep_of_base(net,dict(load_network(base,c.labels,0).base_model.named_parameters()),.1)
        tok=Path(f"mixed/tok{s}"); tok.mkdir(parents=True,exist_ok=True)
        for f in ("tokenizer.json","tokenizer_config.json"): shutil.copy(d+"/"+f,tok)
        shutil.rmtree(f"mixed/st{s}",ignore_errors=True)
        with model_dir.staged(Path(f"mixed/st{s}"),final) as folder:
            final.parent.mkdir(parents=True,exist_ok=True)
            _build(folder,final.name,net,c,InputEncoder(tok/"tokenizer.json",256),read_recipe(seed=s),base,tok,old.manifest.training)
    m=model_dir.load(final).manifest
    r=evaluate(final,real,resamples=0).values["headline"]
    print(s,[(f.file,round(f.macro_f1_loss,4),round(f.decisions_changed,4),round(f.rows_per_second)) for f in [*m.forms,*m.refused_forms]],{k:round(v["value"],4) for k,v in r.items()},flush=True)
