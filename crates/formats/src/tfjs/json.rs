//! Lists of limited length in JSON: a small file of brackets must not become a large structure.

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// A list of at most `MOST` entries.
#[derive(Clone, Debug)]
pub struct List<T, const MOST: usize>(pub Vec<T>);

impl<T, const MOST: usize> Default for List<T, MOST> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for List<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T, const MOST: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Entries<T, MOST> {
            type Value = List<T, MOST>;
            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                write!(formatter, "a list of at most {MOST} entries")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some(entry) = entries.next_element()? {
                    if list.len() == MOST {
                        return Err(A::Error::custom(format_args!("a list has more than {MOST} entries")));
                    }
                    list.push(entry);
                }
                Ok(List(list))
            }
        }
        deserializer.deserialize_seq(Entries(PhantomData))
    }
}

/// The entries of a map whose keys are in a list; others are passed over.
pub fn chosen<'de, D, T>(
    deserializer: D,
    keys: &'static [&'static str],
) -> Result<BTreeMap<&'static str, T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Chosen<T>(&'static [&'static str], PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Chosen<T> {
        type Value = BTreeMap<&'static str, T>;
        fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
            formatter.write_str("a map")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some(key) = entries.next_key::<std::borrow::Cow<str>>()? {
                match self.0.iter().find(|known| **known == key) {
                    Some(known) => {
                        map.insert(*known, entries.next_value()?);
                    }
                    None => {
                        entries.next_value::<IgnoredAny>()?;
                    }
                }
            }
            Ok(map)
        }
    }
    deserializer.deserialize_map(Chosen(keys, PhantomData))
}
