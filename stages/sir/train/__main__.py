"""Train a decoder to rebuild a frozen teacher's features of normal images, of one category or of all (SIR)."""

from collections.abc import Sequence

from stages.core.io.decision import write_choice
from stages.core.run.params import load_params, load_value
from stages.core.run.stage import parse_paths, stage_entry
from stages.core.training.curve import write_training_curve
from stages.sir.model.model import write_models
from stages.sir.train.batches import gather_features, shots_of
from stages.sir.train.params import DecoderParams, TrainingParams
from stages.sir.train.training import describe, train

WRITES, VALUES = ("model", "choice", "curve"), ("method", "category")


@stage_entry
def main(argv: Sequence[str]) -> str:
    paths = parse_paths(argv, reads=["features"], writes=WRITES, values=VALUES, about=__doc__)
    shots = shots_of(paths.method, category=paths.category)
    decoder = load_params(DecoderParams, section="sir.decoder")
    training = load_params(TrainingParams, section="sir.training")
    listed = list(load_value("methods.sir.categories"))
    features = gather_features(paths.features, category=paths.category, listed=listed)
    trained = train(features, decoder, training, shots=shots, seed=load_value("seed"))
    write_models(paths.model, trained.models, features[0].teacher)
    write_training_curve(paths.curve, trained.curve)
    write_choice(paths.choice, describe(trained, features))
    return f"{len(trained.models)} decoders trained on {len(features)} categories"


if __name__ == "__main__":
    main()
