//! The colours of a badge: every name of CSS and shields.io, and hexadecimal digits.

use rocket::http::Status;

use crate::support;

/// The names of shields.io, and those of CSS Color 4, section 6.1.
const COLORS: &str = "brightgreen critical important inactive informational success \
    aliceblue antiquewhite aqua aquamarine azure beige bisque black blanchedalmond blue blueviolet \
    brown burlywood cadetblue chartreuse chocolate coral cornflowerblue cornsilk crimson cyan \
    darkblue darkcyan darkgoldenrod darkgray darkgreen darkgrey darkkhaki darkmagenta \
    darkolivegreen darkorange darkorchid darkred darksalmon darkseagreen darkslateblue \
    darkslategray darkslategrey darkturquoise darkviolet deeppink deepskyblue dimgray dimgrey \
    dodgerblue firebrick floralwhite forestgreen fuchsia gainsboro ghostwhite gold goldenrod gray \
    green greenyellow grey honeydew hotpink indianred indigo ivory khaki lavender lavenderblush \
    lawngreen lemonchiffon lightblue lightcoral lightcyan lightgoldenrodyellow lightgray \
    lightgreen lightgrey lightpink lightsalmon lightseagreen lightskyblue lightslategray \
    lightslategrey lightsteelblue lightyellow lime limegreen linen magenta maroon mediumaquamarine \
    mediumblue mediumorchid mediumpurple mediumseagreen mediumslateblue mediumspringgreen \
    mediumturquoise mediumvioletred midnightblue mintcream mistyrose moccasin navajowhite navy \
    oldlace olive olivedrab orange orangered orchid palegoldenrod palegreen paleturquoise \
    palevioletred papayawhip peachpuff peru pink plum powderblue purple rebeccapurple red \
    rosybrown royalblue saddlebrown salmon sandybrown seagreen seashell sienna silver skyblue \
    slateblue slategray slategrey snow springgreen steelblue tan teal thistle tomato turquoise \
    violet wheat white whitesmoke yellow yellowgreen";

#[rocket::async_test]
async fn every_name_of_a_colour_is_known_in_any_case() {
    let client = support::client_of(&support::database().await, &["readme"]).await;
    // Those of which shields.io has an own shade, or that CSS does not have.
    let shades = [
        ("brightgreen", "#4c1"),
        ("green", "#97ca00"),
        ("yellow", "#dfb317"),
        ("yellowgreen", "#a4a61d"),
        ("orange", "#fe7d37"),
        ("red", "#e05d44"),
        ("blue", "#007ec6"),
        ("grey", "#555"),
        ("gray", "#555"),
        ("lightgrey", "#9f9f9f"),
        ("lightgray", "#9f9f9f"),
        ("critical", "#e05d44"),
        ("important", "#fe7d37"),
        ("success", "#4c1"),
        ("informational", "#007ec6"),
        ("inactive", "#9f9f9f"),
        ("0af", "#0af"),
        ("%23ABCDEF", "#abcdef"),
    ];
    let shade = |name: &str| {
        let found = shades.iter().find(|(known, _)| *known == name);
        found.map_or(name.to_string(), |(_, shade)| shade.to_string())
    };
    assert_eq!(COLORS.split_whitespace().count(), 148 + 6);
    for name in COLORS.split_whitespace().chain(["0af", "%23ABCDEF"]) {
        for spelling in [name.to_string(), name.to_uppercase()] {
            let colors = format!("color={spelling}&labelColor={spelling}");
            let path = format!("/badge/readme.svg?count=no&style=flat-square&{colors}");
            let fill = format!(r#"height="20" fill="{}""#, shade(name));
            let badge = client.get(&path).dispatch().await;
            assert_eq!(badge.status(), Status::Ok, "{path}");
            let svg = badge.into_string().await.unwrap();
            assert_eq!(svg.matches(&fill).count(), 2, "{spelling}: {svg}");
        }
    }
}
