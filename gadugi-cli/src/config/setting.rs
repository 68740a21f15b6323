//! The one description of each setting, and the types that come of a table of them.

use std::path::Path;
use std::time::Duration;

use crate::parse::TimeLimit;
use crate::parse::document::{Value, parse_toml};
use crate::parse::fields::Fields;

/// A key of the configuration, of a task or of an agent. What reads it, merges it, writes the template of `gadugi init` and
/// compares the tables of the docs goes by this.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// As it stands in a file.
    pub name: &'static str,
    /// Kind of the value, in Markdown.
    pub kind: &'static str,
    /// The default as TOML; `None` where nothing is set.
    pub default: Option<&'static str>,
    /// Text of the docs in place of a default.
    pub without: Option<&'static str>,
    /// A value as TOML, which is not the default.
    pub example: &'static str,
    /// The flag of `gadugi run` and `gadugi plan` that sets it.
    pub flag: Option<&'static str>,
    /// Where a task gets it that does not say it; `None` for what a task cannot say.
    pub task: Option<&'static str>,
    /// Lines of its description in Markdown. What follows on an empty one stands only in the docs.
    pub about: &'static [&'static str],
    /// Reads the text of a variable.
    pub(crate) of_variable: fn(&str) -> Value,
}

impl Setting {
    /// The variable of the environment that sets it, such as `GADUGI_JOBS`, where it is one of
    /// [`CONFIG_KEYS`](super::CONFIG_KEYS): the keys of tables have none.
    #[must_use]
    pub fn variable(&self) -> String {
        variable(self.name)
    }

    /// A value for messages: the default where it says something.
    pub(crate) fn hint(&self) -> &'static str {
        let says_nothing = |default: &&str| matches!(*default, "0" | "false" | "[]" | "{}" | "\"none\"");
        self.default.filter(|default| !says_nothing(default)).unwrap_or(self.example)
    }
}

pub(crate) fn variable(key: &str) -> String {
    format!("GADUGI_{}", key.to_uppercase())
}

/// The names of settings.
pub(crate) fn key_names<'s>(settings: impl IntoIterator<Item = &'s Setting>) -> Vec<&'static str> {
    settings.into_iter().map(|setting| setting.name).collect()
}

/// A setting once all sources are merged, made of what a source says.
pub(crate) trait Settled<T> {
    fn settled(value: Option<T>) -> Self;
}

impl<T> Settled<T> for T {
    fn settled(value: Option<T>) -> T {
        value.expect("cannot fail because settings of this type have a default")
    }
}

impl<T> Settled<T> for Option<T> {
    fn settled(value: Option<T>) -> Self {
        value
    }
}

impl Settled<TimeLimit> for Option<Duration> {
    fn settled(value: Option<TimeLimit>) -> Self {
        value.and_then(TimeLimit::duration)
    }
}

/// The optional part of an entry.
pub(crate) const fn given(part: &[&'static str]) -> Option<&'static str> {
    match part {
        [part, ..] => Some(part),
        [] => None,
    }
}

/// Reads the defaults of a table as a source of their own.
pub(crate) fn read_defaults<L>(table: &[Setting], read: impl FnOnce(&mut Fields<'_, '_>) -> L) -> L {
    let lines = table.iter().filter_map(|setting| Some(format!("{} = {}\n", setting.name, setting.default?)));
    let (file, mut issues) = (Path::new("<defaults>"), Vec::new());
    let entries = parse_toml(&lines.collect::<String>(), file).expect("cannot fail because tests read all defaults");
    let layer = read(&mut Fields::new(file, 1, &entries, &mut issues));
    assert!(issues.is_empty(), "the defaults are a part of the program: {issues:?}");
    layer
}

/// Makes a table of settings, and the layer that holds what one source says of them. An entry is
///
/// ```text
/// /// What it is for, with an empty line before what only the docs say.
/// name: Type = KIND { default: "TOML", without: "in the docs", example: "TOML", flag: "--name", task: "in the docs" };
/// ```
///
/// where all but the example can be left out.
macro_rules! layer {
    (
        $(#[$of_table:meta])*
        table $table_vis:vis $TABLE:ident;
        $(#[$of_layer:meta])*
        layer $layer_vis:vis $Layer:ident { fields $field_vis:vis, $($(#[$of_more:meta])* $more:ident: $More:ty,)* };
        $(
            $(#[doc = $about:literal])+
            $key:ident: $Value:ty = $kind:ident {
                $(default: $default:literal,)? $(without: $without:literal,)? example: $example:literal
                $(, flag: $flag:literal)? $(, task: $task:literal)?
            };
        )+
    ) => {
        $(#[$of_table])*
        $table_vis const $TABLE: &[$crate::config::Setting] = &[
            $($crate::config::Setting {
                name: stringify!($key),
                kind: $kind.name,
                default: $crate::config::setting::given(&[$($default)?]),
                without: $crate::config::setting::given(&[$($without)?]),
                example: $example,
                flag: $crate::config::setting::given(&[$($flag)?]),
                task: $crate::config::setting::given(&[$($task)?]),
                about: &[$($about),+],
                of_variable: $kind.of_variable,
            },)+
        ];

        $(#[$of_layer])*
        $layer_vis struct $Layer {
            $($(#[doc = $about])+ $field_vis $key: Option<$Value>,)+
            $($(#[$of_more])* $field_vis $more: $More,)*
        }

        impl $Layer {
            /// Reads each setting for which `hint` gives a value for messages.
            pub(crate) fn read(
                fields: &mut $crate::parse::fields::Fields<'_, '_>,
                hint: fn(&$crate::config::Setting) -> Option<&'static str>,
            ) -> Self {
                let mut settings = $TABLE.iter();
                Self {
                    $($key: settings.next().and_then(|setting| ($kind.read)(fields, setting.name, hint(setting)?)),)+
                    $($more: Default::default(),)*
                }
            }
        }
    };
}
pub(crate) use layer;

/// Makes of a table what [`layer!`] makes, and the settings once all sources are merged. In an entry `=> Type` stands for the type
/// that a setting has then, where it is another one. Those of `only` are of the layer only.
macro_rules! settings {
    (
        $(#[$of_table:meta])*
        table $table_vis:vis $TABLE:ident;
        $(#[$of_layer:meta])*
        layer $layer_vis:vis $Layer:ident { $($in_layer:tt)* };
        $(#[$of_settings:meta])*
        settings $Settings:ident { $($(#[$of_more:meta])* $more:ident: $More:ty,)* };
        only { $($only:tt)* }
        $(
            $(#[doc = $about:literal])+
            $key:ident: $Value:ty $(=> $Settled:ty)? = $kind:ident { $($parts:tt)* };
        )+
    ) => {
        $crate::config::setting::layer! {
            $(#[$of_table])*
            table $table_vis $TABLE;
            $(#[$of_layer])*
            layer $layer_vis $Layer { $($in_layer)* };
            $($only)*
            $($(#[doc = $about])+ $key: $Value = $kind { $($parts)* };)+
        }

        $(#[$of_settings])*
        pub struct $Settings {
            $($(#[doc = $about])+ pub $key: $crate::config::setting::last!($Value $(, $Settled)?),)+
            $($(#[$of_more])* pub $more: $More,)*
        }

        impl $Settings {
            /// The settings of a layer that leaves nothing open that has a default.
            pub(crate) fn settle(layer: $Layer) -> Self {
                use $crate::config::setting::Settled;
                Self {
                    $($key: Settled::settled(layer.$key),)+
                    $($more: Default::default(),)*
                }
            }

            /// Takes over all that a layer says.
            pub(crate) fn set(&mut self, layer: $Layer) {
                use $crate::config::setting::Settled;
                $(if layer.$key.is_some() {
                    self.$key = Settled::settled(layer.$key);
                })+
            }
        }

        impl $Layer {
            /// The defaults of the table, as a layer of their own.
            pub(crate) fn defaults() -> Self {
                $crate::config::setting::read_defaults($TABLE, |fields| {
                    Self::read(fields, |setting| Some(setting.hint()))
                })
            }
        }
    };
}
pub(crate) use settings;

/// The last one of one or two types.
macro_rules! last {
    ($Type:ty) => {
        $Type
    };
    ($Other:ty, $Type:ty) => {
        $Type
    };
}
pub(crate) use last;
