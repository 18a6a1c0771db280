"""Train one decoder for all categories to rebuild a frozen teacher's features of normal images (SIR)."""

from collections.abc import Sequence

from stages.core.artifacts.choices import write_choice
from stages.core.artifacts.training_curves import write_training_curve
from stages.core.running.params import load_params, load_value
from stages.core.running.stage import parse_paths, stage_entry
from stages.core.sir.model import write_models
from stages.core.sir.params import DecoderParams, TrainingParams
from stages.core.sir.shots import shots_of
from stages.core.sir.training import describe, train
from stages.sir.universal.gathering import gather_features


@stage_entry
def main(argv: Sequence[str]) -> str:
    paths = parse_paths(argv, reads=["features"], writes=["model", "choice", "curve"], values=["method"], about=__doc__)
    shots = shots_of(paths.method, scope="universal")
    decoder = load_params(DecoderParams, section="sir.decoder")
    training = load_params(TrainingParams, section="sir.training")
    features = gather_features(paths.features, list(load_value("sir.categories")))
    trained = train(features, decoder, training, shots=shots, seed=load_value("seed"))
    write_models(paths.model, trained.models, features[0].teacher)
    write_training_curve(paths.curve, trained.curve)
    write_choice(paths.choice, describe(trained, features))
    return f"{len(trained.models)} decoders trained on {len(features)} categories"


if __name__ == "__main__":
    main()
