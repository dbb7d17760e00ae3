"""The live picture: refocusing in a browser, by one WebGL 2 module that the app and offline files share."""
