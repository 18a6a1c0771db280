"""Train a decoder to rebuild a frozen teacher's features of normal images of one product (SIR, specialised)."""

from collections.abc import Sequence

from stages.core.io.decision import write_choice
from stages.core.run.params import load_params, load_seed
from stages.core.run.stage import parse_paths, stage_entry
from stages.core.training.curve import write_training_curve
from stages.sir.model.batches import shots_of
from stages.sir.model.feature_files import read_features
from stages.sir.model.model import write_models
from stages.sir.model.params import DecoderParams, TrainingParams
from stages.sir.model.training import describe, train

WRITES = ("model", "choice", "curve")


@stage_entry
def main(argv: Sequence[str]) -> str:
    """Run the stage and return its closing counts."""
    paths = parse_paths(argv, reads=["features"], writes=WRITES, values=["method", "category"], about=__doc__)
    shots = shots_of(paths.method, scope="specialised")
    decoder = load_params(DecoderParams, section="sir.decoder")
    training = load_params(TrainingParams, section="sir.training")
    features = [read_features(paths.features, category=paths.category)]
    trained = train(features, decoder, training, shots=shots, seed=load_seed())
    write_models(paths.model, trained.models, features[0].teacher, shots=shots, drawn=trained.drawn)
    write_training_curve(paths.curve, trained.curve)
    write_choice(paths.choice, describe(trained, features))
    return f"{len(trained.models)} decoders trained on {paths.category}"


if __name__ == "__main__":
    main()
