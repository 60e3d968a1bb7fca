//! Command-line values of enums in serde's words, so that each word is written once: on the enum.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde::de::value::{Error, MapDeserializer, StrDeserializer};
use serde_json::Value;
use std::fmt::{self, Display};

/// An error that only keeps the variants which serde would list for an unknown one.
#[derive(Debug)]
struct Variants(&'static [&'static str]);

impl Display for Variants {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(&self.0.join(", "))
    }
}

impl std::error::Error for Variants {}

impl serde::de::Error for Variants {
    fn custom<T: Display>(_: T) -> Self {
        Self(&[])
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self(expected)
    }
}

/// Parses an enum of plain variants, without those that `keep` leaves out.
pub fn words<T>(keep: fn(&T) -> bool) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    let parse = |word: &str| T::deserialize(StrDeserializer::<Error>::new(word));
    let all = T::deserialize(StrDeserializer::<Variants>::new("")).err().map_or(&[][..], |all| all.0);
    let kept = all.iter().filter(|word| parse(word).is_ok_and(|value| keep(&value)));
    PossibleValuesParser::new(kept).try_map(move |word| parse(&word))
}

/// The word of a plain variant.
pub fn word<T: Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|word| Some(word.as_str()?.to_owned())).unwrap_or_default()
}

/// Parses an enum whose variants have fields and are told apart by the field `tag`; `fields` are the others.
pub fn tagged<T>(tag: &'static str, fields: Value) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    let unknown = MapDeserializer::<_, Variants>::new(std::iter::once((tag, "")));
    let all = T::deserialize(unknown).err().map_or(&[][..], |all| all.0);
    PossibleValuesParser::new(all).try_map(move |word| {
        let mut fields = fields.clone();
        fields[tag] = word.into();
        serde_json::from_value(fields)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::builder::PossibleValue;
    use mobilenet_kernels::shape::{Activation, Padding};
    use mobilenet_train::Optimizer;
    use mobilenet_train::schedule::LrSchedule;

    fn listed<T>(parser: &impl TypedValueParser<Value = T>) -> Vec<String> {
        let values = parser.possible_values().unwrap();
        values.map(|value: PossibleValue| value.get_name().to_owned()).collect()
    }

    #[test]
    fn words_are_those_of_the_enums() {
        assert_eq!(word(&Padding::Symmetric), "symmetric");
        assert_eq!(listed(&words::<Padding>(|_| true)), ["same", "symmetric", "keras"]);
        assert_eq!(listed(&words::<Activation>(|value| *value != Activation::None)), ["relu", "relu6"]);
        assert_eq!(listed(&tagged::<Optimizer>("rule", Value::Null)), ["rmsprop", "sgd"]);
        assert_eq!(listed(&tagged::<LrSchedule>("form", Value::Null)), ["constant", "step", "cosine"]);
    }
}
